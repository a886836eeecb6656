"""What is checked of a plugin: its hooks, and each thing that it registers."""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import pluggy

from dcgan_analysis.api import hookspecs
from dcgan_analysis.api.command import CommandEntry
from dcgan_analysis.errors import RegistrationError, describe_error
from dcgan_analysis.host.loading import DISTRIBUTION, FAILURES, PluginInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.core.registry import Registry

HOOKS = tuple(name for name in hookspecs.__all__ if name.startswith("dcgan_"))
MEMBERS = ("name", "summary", "question", "reference", "config_type", "needs", "run")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=_Named)


class Registrar(Generic[Item]):
    """The ``register`` that a hook is handed: checks an item, then adds it under the plugin's name.

    Args:
        registry: Where items go.
        check: Called with the item and the owner; raises if the item is unfit.
        owner: The plugin, as messages shall call it.
        reserved: Names that belong to other plugins, with their owners.
    """

    def __init__(
        self,
        registry: Registry[Item],
        check: Callable[[object, str], None],
        owner: str,
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        self._registry = registry
        self._check = check
        self._owner = owner
        self._reserved = reserved or {}
        self._open = True
        self.names: list[str] = []

    def __call__(self, item: Item) -> None:
        """Register one item.

        Raises:
            RegistrationError: If the item is unfit, its name is malformed or taken, or the hook has
                returned already.
        """
        if not self._open:
            msg = f"{self._owner} calls register() after its hook has returned; call it in the hook."
            raise RegistrationError(msg)
        self._check(item, self._owner)
        rightful = self._reserved.get(item.name, self._owner)
        if rightful != self._owner:
            msg = (
                f"{self._owner} registers the {self._registry.kind} '{item.name}', "
                f"which is the name of {rightful}. Disable one of the two with DCGAN_ANALYSIS_PLUGINS."
            )
            raise RegistrationError(msg)
        self._registry.add(item.name, item, owner=self._owner)
        self.names.append(item.name)

    def close(self) -> None:
        """Refuse further items: what is registered is fixed once the plugins are loaded."""
        self._open = False


def check_entry(entry_type: type, entry: object, owner: str) -> None:
    """Check that an entry is of its kind's type.

    Raises:
        RegistrationError: If it is not.
    """
    if not isinstance(entry, entry_type):
        expected = f"{entry_type.__module__}.{entry_type.__qualname__}"
        msg = f"{owner} registers {entry!r}; register takes a {expected}."
        raise RegistrationError(msg)


def check_command(entry: object, owner: str) -> None:
    """Check that a command's entry is of its type and does not take the name of one of dcgan-analysis's own.

    Raises:
        RegistrationError: If it is of another type or takes such a name.
    """
    check_entry(CommandEntry, entry, owner)
    # One file a subcommand: the folder tells their names without importing any.
    files = (Path(__file__).parents[1] / "cli").glob("*.py")
    own = {path.stem.strip("_").replace("_", "-") for path in files}
    name = getattr(entry, "name", None)
    if name in own:
        msg = f"{owner} registers the command '{name}', a name that dcgan-analysis keeps for itself. Choose another."
        raise RegistrationError(msg)


class _Manager(pluggy.PluginManager):
    """pluggy's manager, which does not look twice at what is no function.

    pluggy looks every name of a module up as if it might be inherited or computed, imported names too, which takes
    more time than importing the module. In a module its dictionary tells.
    """

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if inspect.ismodule(plugin):
            value = vars(plugin).get(name)
            if not (inspect.isfunction(value) and hasattr(value, f"{hookspecs.PROJECT}_impl")):
                return None
        return super().parse_hookimpl_opts(plugin, name)


def build_manager(plugin: object, info: PluginInfo, *, declares: bool = False) -> pluggy.PluginManager:
    """Put one plugin into a pluggy manager of its own and check its hooks.

    A manager for each plugin, rather than one for all, makes the isolation structural: a call
    reaches one plugin, so one that raises cannot cut the others' short, and one that fails half-way
    leaves nothing behind (pluggy keeps half-registered plugins and leaves misspelt hooks to
    ``check_pending``).

    Raises:
        RegistrationError: If the plugin is a class, is of another API version, implements no hook
            or an unknown one, takes arguments the hook does not offer, or has a hook without the
            marker.
    """
    _check_api_version(plugin, info)
    if inspect.isclass(plugin):
        msg = (
            f"{info.title} is the class {plugin.__name__}; "
            "an entry point must name a module or an instance, "
            f'like {info.name} = "{plugin.__module__}".'
        )
        raise RegistrationError(msg)
    manager = _Manager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name=info.name)
    except FAILURES as error:
        msg = f"{info.title} does not fit the hooks: {describe_error(error)}."
        raise RegistrationError(msg) from error
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        optional = all(impl.optionalhook for impl in caller.get_hookimpls())
        if not caller.has_spec() and not optional:
            close = difflib.get_close_matches(caller.name, HOOKS, n=1)
            guess = f"Did you mean '{close[0]}'?" if close else f"Hooks: {', '.join(HOOKS)}."
            msg = f"Plugin '{info.name}' implements '{caller.name}', which is not a hook. {guess}"
            raise RegistrationError(msg)
    _check_markers(plugin, info, {caller.name for caller in callers}, declares=declares)
    return manager


def _check_api_version(plugin: object, info: PluginInfo) -> None:
    home = plugin if inspect.ismodule(plugin) else inspect.getmodule(plugin)
    default = getattr(home, "DCGAN_ANALYSIS_API", hookspecs.API_VERSION)
    declared = getattr(plugin, "DCGAN_ANALYSIS_API", default)
    ends = declared if isinstance(declared, tuple) else (declared, declared)
    if len(ends) != 2 or not all(type(end) is int for end in ends) or ends[0] > ends[1]:
        msg = (
            f"Plugin '{info.name}' has DCGAN_ANALYSIS_API = {declared!r}; "
            f"it must be a version such as {hookspecs.API_VERSION}, or the first and the last one, such as (1, 2)."
        )
        raise RegistrationError(msg)
    first, last = ends
    if first <= hookspecs.API_VERSION and last >= hookspecs.OLDEST_API_VERSION:
        return
    required, supported = _span(first, last), _span(hookspecs.OLDEST_API_VERSION, hookspecs.API_VERSION)
    update = DISTRIBUTION if first > hookspecs.API_VERSION else info.distribution or "the plugin"
    msg = f"Plugin '{info.name}' needs plugin API {required}, this release has {supported}. Update {update}."
    raise RegistrationError(msg)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _check_markers(plugin: object, info: PluginInfo, implemented: set[str], *, declares: bool) -> None:
    for name in HOOKS:
        if name not in implemented and callable(getattr(plugin, name, None)):
            msg = (
                f"Plugin '{info.name}' has a function '{name}' that would never be called. "
                "Put @dcgan_analysis.hookimpl above it."
            )
            raise RegistrationError(msg)
    if not implemented and not declares:
        msg = (
            f"{info.title} implements no hook. Mark its hook functions with "
            f"@dcgan_analysis.hookimpl; hooks: {', '.join(HOOKS)}."
        )
        raise RegistrationError(msg)


def check_members(analysis: object, owner: str) -> None:
    """Check what can be checked of an analysis without running it.

    Raises:
        RegistrationError: If a class was handed over, or members are missing or of the wrong type.
    """
    if inspect.isclass(analysis):
        name = analysis.__name__
        msg = f"{owner} registers the class {name}; register an instance: register({name}())."
        raise RegistrationError(msg)
    subject = f"{owner} registers the analysis {getattr(analysis, 'name', analysis)!r}"
    if missing := [member for member in MEMBERS if not hasattr(analysis, member)]:
        msg = f"{subject} without {', '.join(missing)}; an analysis has {', '.join(MEMBERS)}."
        raise RegistrationError(msg)
    members = {member: getattr(analysis, member) for member in MEMBERS}
    for member in ("summary", "question", "reference"):
        if not isinstance(members[member], str):
            msg = f"{subject}; its {member} must be a string, got {members[member]!r}."
            raise RegistrationError(msg)
    config_type = members["config_type"]
    # Here alone, since pydantic takes long to import and a listing of commands checks no analysis.
    from dcgan_analysis.api.analysis import AnalysisConfig, Needs

    if not (inspect.isclass(config_type) and issubclass(config_type, AnalysisConfig)):
        msg = f"{subject}; its config_type must be a subclass of AnalysisConfig, got {config_type!r}."
        raise RegistrationError(msg)
    if not isinstance(members["needs"], Needs):
        msg = f"{subject}; its needs must be a dcgan_analysis.api.Needs, got {members['needs']!r}."
        raise RegistrationError(msg)
    if not callable(members["run"]):
        msg = f"{subject}; its run must be a method run(context, config), got {members['run']!r}."
        raise RegistrationError(msg)
