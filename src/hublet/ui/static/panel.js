// A panel is drawn again only when its data has changed. The focus in it, and what was unfolded in it, are kept.

const drawn = new WeakMap();

export function panel(root, id, data, build) {
  const now = JSON.stringify(data);
  let place = [...root.children].find((one) => one.dataset.panel === id);
  if (!place) {
    place = document.createElement("div");
    place.dataset.panel = id;
    place.className = "panel";
    root.append(place);
  } else if (drawn.get(place) === now) return place;
  drawn.set(place, now);
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  const focus = place.contains(document.activeElement)
    ? [...place.querySelectorAll("a,button,summary,select")].indexOf(document.activeElement)
    : -1;
  const built = build();
  place.replaceChildren(...(built ? [built] : []));
  place.hidden = !built;
  [...place.querySelectorAll("details")].forEach((one, n) => {
    if (open[n]) one.open = true;
  });
  if (focus >= 0)
    (place.querySelectorAll("a,button,summary,select")[focus] ?? document.querySelector("#view h1")).focus();
  return place;
}

// Removes the panels of a kind (by the prefix of their ids) whose ids are not among these.
export function keep(root, prefix, ids) {
  for (const one of [...root.children]) {
    if (one.dataset.panel?.startsWith(prefix) && !ids.includes(one.dataset.panel)) one.remove();
  }
}
