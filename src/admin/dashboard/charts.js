// Bars per hour, as plain SVG. Every bar tells its numbers where one points; the whole is summed up for those who listen.

import { make } from "./page.js";

const [WIDTH, HEIGHT, BASE, LEFT] = [480, 130, 108, 38];
const shape = (tag, attributes, ...children) => make(`svg:${tag}`, attributes, ...children);

/** The next number that is round enough to stand at the top of an axis. */
function roundUp(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, number)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number);
}

/** `hours`: `{ at, parts: { kind: count } }`, the oldest first. `what` is counted. */
export function bars(hours, kinds, what) {
  const sum = (parts) => kinds.reduce((total, kind) => total + (parts[kind] ?? 0), 0);
  const top = roundUp(Math.max(1, ...hours.map(({ parts }) => sum(parts))));
  const step = (WIDTH - LEFT) / Math.max(1, hours.length);
  const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const all = hours.reduce((total, { parts }) => total + sum(parts), 0);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${all} ${what} in 24 hours` });
  svg.append(
    shape("line", { x1: LEFT, x2: WIDTH, y1: BASE, y2: BASE }),
    shape("line", { x1: LEFT, x2: WIDTH, y1: 8, y2: 8, "stroke-dasharray": "2 4" }),
    shape("text", { x: LEFT - 5, y: 12, "text-anchor": "end" }, top.toLocaleString([], { notation: "compact" })),
    shape("text", { x: LEFT - 5, y: BASE, "text-anchor": "end" }, "0"),
  );
  hours.forEach(({ at, parts }, index) => {
    const x = LEFT + index * step + step * 0.12;
    const told = kinds.filter((kind) => parts[kind]).map((kind) => (kinds.length > 1 ? `${parts[kind]} ${kind}` : parts[kind]));
    const group = shape("g", {}, shape("title", {}, `from ${clock(at)}: ${told.join(", ") || "none"}`));
    let y = BASE;
    for (const kind of kinds) {
      if (!parts[kind]) continue;
      const height = Math.max(1, (parts[kind] / top) * (BASE - 8));
      y -= height;
      group.append(shape("rect", { class: kind, x, y, width: step * 0.76, height, rx: 1 }));
    }
    group.append(shape("rect", { x: LEFT + index * step, y: 8, width: step, height: BASE - 8, fill: "transparent" }));
    svg.append(group);
    if (index % 6 === 0) svg.append(shape("text", { x, y: HEIGHT - 6 }, clock(at)));
  });
  return svg;
}
