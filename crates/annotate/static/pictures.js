// The images that one answer or two are about, side by side, each in a frame of its own.

import { base } from "./base.js";
import { part } from "./element.js";
import { Image } from "./image.js";
import { isTextField } from "./keys.js";

/** What the images of a task or an item are called. */
function nameOf(number, n) {
  return n === 1 ? "Image" : `Image ${number + 1} of ${n}`;
}

/** Any number of images, in their order. */
export class Pictures {
  #box = part("pictures");
  #frames = [];
  #n = 0;
  #last = null;

  constructor() {
    document.addEventListener("keydown", (event) => this.#zoomKey(event));
    for (const name of ["focusin", "pointerdown"])
      this.#box.addEventListener(name, ({ target }) => {
        this.#last = this.#frames.find(({ element }) => element.contains(target)) ?? this.#last;
      });
  }

  /** Begins to load images and returns their elements, for `show`. */
  static load(addresses) {
    const n = addresses.length;
    const described = (number) => (n === 1 ? "The image" : nameOf(number, n)) + " that is asked about";
    return addresses.map((address, number) => Image.load(base + address, described(number)));
  }

  /** Shows loaded images, and no frame where there are none. */
  show(images) {
    const n = images.length;
    this.#n = n;
    this.#last = null;
    this.#box.hidden = n === 0;
    this.#box.classList.toggle("are-several", n > 1);
    while (this.#frames.length < n) {
      const frame = new Image();
      this.#frames.push(frame);
      this.#box.append(frame.element);
    }
    this.#frames.forEach((frame, number) => frame.show(images[number] ?? null, nameOf(number, n)));
    this.#box.scrollTo({ top: 0, left: 0 });
  }

  /** Whether one of them did not come; what is on its way may yet. */
  get hasFailed() {
    return this.#frames.some((frame) => frame.hasFailed);
  }

  /** Plus and minus zoom the image that was touched last, or the first. */
  #zoomKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || isTextField(event.target)) return;
    if (document.querySelector("dialog[open]") !== null || this.#n === 0) return;
    const frame = this.#last ?? this.#frames[0];
    if (event.key === "+" || event.key === "=") frame.zoomIn();
    else if (event.key === "-") frame.zoomOut();
    else return;
    event.preventDefault();
  }
}
