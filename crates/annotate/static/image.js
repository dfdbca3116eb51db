// An image in its frame: wheel, drag, pinch, double click, buttons and keys zoom and move it.

import { make, part } from "./element.js";

const MAX_SCALE = 16;
const STEP = 1.4;
const PAN_STEP = 60;

/** An image that fits its frame and can be looked at closely. */
export class Image {
  /** What the page shows of it, buttons and all. */
  element = part("image").content.firstElementChild.cloneNode(true);
  #frame = this.element.querySelector(".frame");
  #zoom = this.element.querySelector(".scale");
  #problem = this.element.querySelector(".problem");
  #image = null;
  #view = { scale: 1, x: 0, y: 0 };
  #pointers = new Map();

  constructor() {
    const frame = this.#frame;
    const button = (name) => this.element.querySelector(`button.${name}`);
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("dblclick", (event) => this.#toggle(event));
    frame.addEventListener("keydown", (event) => this.#move(event));
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#drag(event));
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => this.#up(event));
    button("in").addEventListener("click", () => this.zoomIn());
    button("out").addEventListener("click", () => this.zoomOut());
    button("fit").addEventListener("click", () => this.#set(1, 0, 0));
    button("retry").addEventListener("click", () => this.#retry());
    new ResizeObserver(() => this.#set(this.#view.scale, this.#view.x, this.#view.y)).observe(frame);
  }

  /** Begins to load an image and returns its element, for `show`. */
  static load(address, description) {
    return make("img", { src: address, alt: description, draggable: "false", decoding: "async" });
  }

  /** Shows a loaded image, or no frame at all for null. `name` is what people who cannot see it know the frame by. */
  show(image, name = "Image") {
    this.element.hidden = image === null;
    this.#image = image;
    this.#frame.replaceChildren(...(image ? [image] : []));
    if (image === null) return;
    this.#frame.setAttribute("aria-label", `${name}: plus and minus zoom, arrows move it, Home shows all of it`);
    this.element.querySelector(".zoom").setAttribute("aria-label", `Zoom of ${name.toLowerCase()}`);
    this.#watch(image);
  }

  /** Whether the image did not come; one that is on its way may yet. */
  get hasFailed() {
    return this.#image !== null && this.#image.complete && this.#image.naturalWidth === 0;
  }

  #loaded(image) {
    if (this.#image !== image) return;
    const { naturalWidth, naturalHeight } = image;
    this.#problem.hidden = naturalWidth > 0;
    if (naturalWidth > 0) this.#frame.style.setProperty("--ratio", `${naturalWidth} / ${naturalHeight}`);
  }

  /** Shows it larger. */
  zoomIn() {
    this.#zoomBy(STEP);
  }

  /** Shows it smaller, until all of it is seen. */
  zoomOut() {
    this.#zoomBy(1 / STEP);
  }

  #retry() {
    const again = Image.load(this.#image.src, this.#image.alt);
    this.#image.replaceWith(again);
    this.#watch(again);
  }

  #watch(image) {
    this.#image = image;
    this.#problem.hidden = true;
    image.addEventListener("load", () => this.#loaded(image));
    image.addEventListener("error", () => this.#loaded(image));
    if (image.complete) this.#loaded(image);
    this.#set(1, 0, 0);
  }

  #set(scale, x, y) {
    const { clientWidth, clientHeight } = this.#frame;
    const clamped = Math.min(MAX_SCALE, Math.max(1, scale));
    // The image covers the frame or is centred in it; it cannot be pushed out of sight.
    const least = (size) => size * (1 - clamped);
    this.#view = {
      scale: clamped,
      x: Math.min(0, Math.max(least(clientWidth), x)),
      y: Math.min(0, Math.max(least(clientHeight), y)),
    };
    const view = this.#view;
    if (this.#image) this.#image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    this.#frame.classList.toggle("is-zoomed", view.scale > 1);
    this.#zoom.textContent = `${Math.round(view.scale * 100)} %`;
  }

  /** Zooms so that the point of the frame stays where it is; without one, its middle. */
  #zoomBy(factor, point = { x: this.#frame.clientWidth / 2, y: this.#frame.clientHeight / 2 }) {
    const { scale, x, y } = this.#view;
    const next = Math.min(MAX_SCALE, Math.max(1, scale * factor));
    const ratio = next / scale;
    this.#set(next, point.x - (point.x - x) * ratio, point.y - (point.y - y) * ratio);
  }

  #pointOf({ clientX, clientY }) {
    const { left, top } = this.#frame.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  #wheel(event) {
    // Where nothing is left to zoom out of, the wheel scrolls the page as everywhere.
    if (event.deltaY > 0 && this.#view.scale === 1) return;
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * 30;
    this.#zoomBy(Math.exp(-pixels / 300), this.#pointOf(event));
  }

  #toggle(event) {
    if (this.#view.scale > 1) this.#set(1, 0, 0);
    else this.#zoomBy(2.5, this.#pointOf(event));
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest("button")) return;
    this.#frame.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#pointOf(event));
  }

  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const now = this.#pointOf(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other !== undefined) {
      const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      this.#zoomBy(distance(now) / distance(before), other);
    } else {
      this.#set(this.#view.scale, this.#view.x + now.x - before.x, this.#view.y + now.y - before.y);
    }
    this.#pointers.set(event.pointerId, now);
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
  }

  #move(event) {
    const steps = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "Home") this.#set(1, 0, 0);
    else if (event.key in steps && this.#view.scale > 1) {
      const [right, down] = steps[event.key];
      this.#set(this.#view.scale, this.#view.x + right * PAN_STEP, this.#view.y + down * PAN_STEP);
    } else return;
    event.preventDefault();
  }
}
