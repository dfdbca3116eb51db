// A list of which only the visible rows exist. `chosen` hears of the item, and whether somebody chose it by hand.
const ROW = 46;

function makeList(chosen) {
  const rows = element("div.rows");
  const box = element(
    "div.list",
    { role: "listbox", tabindex: "0", "aria-label": "Items", scroll: draw, keydown: key },
    rows,
  );
  let items = [];
  let at = -1;

  function row(index) {
    const item = items[index];
    const signs = item.answers.map((answer, k) => {
      const [sign, name] = outcomeSign(answer);
      return element(`span.sign.${name}`, { title: `${data.runs[k]}: ${outcomeWords(answer, data.benchmarks[item.benchmark])}` }, sign);
    });
    const made = element(
      "div.row",
      {
        role: "option",
        id: `row-${index}`,
        "aria-selected": String(index === at),
        "aria-setsize": items.length,
        "aria-posinset": index + 1,
        click: () => choose(index),
      },
      element("span.signs", {}, ...signs),
      element("span.asked", {}, element("span.id", {}, item.id), " ", item.question),
    );
    made.style.top = `${index * ROW}px`;
    return made;
  }

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4);
    const last = Math.min(items.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 4);
    const visible = [];
    for (let index = first; index < last; index += 1) visible.push(row(index));
    // What is chosen exists for those who hear the list, wherever it is scrolled to.
    if (at >= 0 && (at < first || at >= last)) visible.push(row(at));
    rows.replaceChildren(...visible);
    if (at >= 0) box.setAttribute("aria-activedescendant", `row-${at}`);
    else box.removeAttribute("aria-activedescendant");
  }

  function choose(index, byHand = true) {
    if (items.length === 0) return;
    at = Math.min(Math.max(index, 0), items.length - 1);
    const top = at * ROW;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    draw();
    chosen(items[at], byHand);
  }

  function key(event) {
    const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 1);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(to);
  }

  function show(list, item) {
    items = list;
    rows.style.height = `${items.length * ROW}px`;
    at = -1;
    box.scrollTop = 0;
    draw();
    choose(Math.max(0, items.indexOf(item)), false);
  }

  window.addEventListener("resize", draw);
  return { box, show, step: (by) => choose(at + by) };
}
