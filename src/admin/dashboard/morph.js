// Makes a part of the page like another one, and leaves alone what is the same: what somebody reads, points at or types into
// stays where it is.

/** What tells an element from its neighbours. A button is its name: what it does and to what. */
const key = (node) => node.dataset?.key ?? (node.nodeName === "BUTTON" ? node.getAttribute("aria-label") : null);

/** Gives `parent` these children. */
export function morph(parent, wanted) {
  const old = new Map([...parent.childNodes].filter(key).map((node) => [key(node), node]));
  const kept = new Set(wanted.map(key).filter(Boolean));
  let place = parent.firstChild;
  const goOn = () => (place = place.nextSibling);
  const isNew = old.size > 0 && parent.nodeName === "TBODY";
  for (const next of wanted) {
    while (place && key(place) && !kept.has(key(place))) {
      const gone = place;
      goOn();
      gone.remove();
    }
    const same = key(next) ? old.get(key(next)) : place && !key(place) ? place : null;
    if (!same || same.nodeName !== next.nodeName) {
      if (isNew) next.classList.add("new");
      parent.insertBefore(next, place);
      continue;
    }
    old.delete(key(next));
    if (same === place) goOn();
    else parent.insertBefore(same, place);
    blend(same, next);
  }
  while (place) {
    const gone = place;
    goOn();
    gone.remove();
  }
}

function blend(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = next.data;
    return;
  }
  // What somebody fills in is theirs, and a button that is at work says so itself.
  if ((old.dataset.keep && old.dataset.keep === next.dataset.keep) || old.dataset.busy) return;
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  morph(old, [...next.childNodes]);
}
