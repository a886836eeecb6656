// One sample, enlarged, on which boxes are drawn with the mouse. Coordinates are pixels of the sample.
export default {
  template: `
    <div class="canvas" data-test="canvas">
      <img :src="src" draggable="false" />
      <svg ref="svg" :viewBox="'0 0 ' + w + ' ' + h" preserveAspectRatio="none"
           @pointerdown.prevent="begin" @pointermove="move" @pointerup="end" @pointercancel="drag = null">
        <rect v-for="(b, i) in boxes" :key="i" :x="b[0]" :y="b[1]" :width="b[2]" :height="b[3]"
              class="box" :class="{ chosen: i === chosen }" />
        <rect v-if="drag" :x="drawn[0]" :y="drawn[1]" :width="drawn[2]" :height="drawn[3]" class="box new" />
      </svg>
    </div>`,
  props: { src: String, w: Number, h: Number, boxes: Array, chosen: Number },
  data: () => ({ drag: null }),
  computed: {
    // Whole pixels: from the edge before the start to the edge behind the end.
    drawn() {
      const [x0, x1] = [this.drag.x0, this.drag.x1].sort((a, b) => a - b);
      const [y0, y1] = [this.drag.y0, this.drag.y1].sort((a, b) => a - b);
      const [left, top] = [Math.round(x0), Math.round(y0)];
      return [left, top, Math.round(x1) - left, Math.round(y1) - top];
    },
  },
  methods: {
    at(event) {
      const area = this.$refs.svg.getBoundingClientRect();
      const part = (value, whole, size) => Math.min(Math.max((value / whole) * size, 0), size);
      return [part(event.clientX - area.left, area.width, this.w), part(event.clientY - area.top, area.height, this.h)];
    },
    begin(event) {
      if (event.button !== 0) return;
      this.$refs.svg.setPointerCapture(event.pointerId);
      const [x, y] = this.at(event);
      this.drag = { x0: x, y0: y, x1: x, y1: y };
    },
    move(event) {
      if (this.drag) [this.drag.x1, this.drag.y1] = this.at(event);
    },
    end(event) {
      if (!this.drag) return;
      this.move(event);
      const { x0, y0 } = this.drag;
      const box = this.drawn;
      this.drag = null;
      if (box[2] > 0 && box[3] > 0) {
        this.$emit("draw", box);
      } else {
        // A click: the smallest box below it is chosen.
        const hit = (b) => x0 >= b[0] && x0 <= b[0] + b[2] && y0 >= b[1] && y0 <= b[1] + b[3];
        const hits = this.boxes.map((b, i) => [b[2] * b[3], i, b]).filter(([, , b]) => hit(b)).sort((a, b) => a[0] - b[0]);
        this.$emit("choose", hits.length ? hits[0][1] : -1);
      }
    },
  },
};
