from .compare import comparison_table as comparison_table
from .console import print_result as print_result
from .console import print_table as print_table
from .export import export as export
from .html import check_section as check_section
from .html import render_report as render_report
from .html import write_report as write_report
from .paired import paired_table as paired_table
