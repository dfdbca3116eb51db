// Elements made from names, attributes and children. Children that are text become text and nothing else.
function element(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length > 0) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A chooser with a name above it. Options are pairs of value and words.
function chooser(words, options, changed) {
  const select = element("select", { change: changed });
  offer(select, options);
  return { select, label: element("label", {}, element("span", {}, words), select) };
}

// Other options; what was chosen stays chosen if it is still there.
function offer(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}
