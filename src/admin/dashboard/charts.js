// Bars per hour, as plain SVG. Every hour tells its numbers where one points; the whole is summed up for those who listen.

import { make, span } from "./page.js";

const [WIDTH, HEIGHT, TOP, BASE, LEFT] = [360, 120, 10, 96, 42];
const shape = (tag, attributes, ...children) => make(`svg:${tag}`, attributes, ...children);

/** The next number that is round enough to stand at the top of an axis. */
function roundUp(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number) ?? 10 * power;
}

/** The same for milliseconds. */
function roundUpTime(time) {
  const seconds = [1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600].map((length) => length * 1000);
  return time <= 500 ? roundUp(time) : seconds.find((length) => length >= time) ?? roundUp(time / 3_600_000) * 3_600_000;
}

/** Milliseconds, in words. */
export const took = (time) => (time < 1000 ? `${time} ms` : time < 10_000 ? `${(time / 1000).toFixed(1)} s` : span(time / 1000));

/** `15:00`, or `3 PM`: the minutes only where a zone shifts whole hours. */
export function clock(time) {
  const date = new Date(time);
  const minute = date.getMinutes() === 0 ? {} : { minute: "2-digit" };
  return date.toLocaleTimeString([], { hour: "numeric", ...minute });
}

/**
 * A bar for each hour. `hours` are the oldest first: `{ at, heights: [[kind, number]], told }`, the lowest part of a bar first.
 * With `isNested` a part stands in the one behind it instead of on top. `name` sums up the whole, `unit` is `time` or nothing.
 */
export function bars(hours, { name, unit, isNested = false }) {
  const total = ({ heights }) => heights.reduce((sum, [, number]) => (isNested ? Math.max(sum, number) : sum + number), 0);
  const most = Math.max(...hours.map(total), 0);
  const top = most === 0 ? 1 : unit === "time" ? roundUpTime(most) : roundUp(most);
  const label = unit === "time" ? took(top) : top.toLocaleString([], { notation: "compact" });
  const step = (WIDTH - LEFT) / Math.max(1, hours.length);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name },
    shape("line", { x1: LEFT, x2: WIDTH, y1: BASE, y2: BASE }),
    shape("line", { x1: LEFT, x2: WIDTH, y1: TOP, y2: TOP, "stroke-dasharray": "2 4" }),
    most > 0 ? shape("text", { x: LEFT - 6, y: TOP + 4, "text-anchor": "end" }, label) : null,
    shape("text", { x: LEFT - 6, y: BASE, "text-anchor": "end" }, "0"));
  hours.forEach(({ at, heights, told }, index) => {
    const x = LEFT + index * step;
    const isOver = index < hours.length - 1;
    const group = shape("g", isOver ? {} : { class: "now" }, shape("title", {}, `from ${clock(at)}${isOver ? "" : ", not over yet"}: ${told}`));
    let y = BASE;
    for (const [kind, number] of heights) {
      if (!number) continue;
      const height = Math.max(1.5, (number / top) * (BASE - TOP));
      y = isNested ? BASE - height : y - height;
      group.append(shape("rect", { class: kind, x: x + step * 0.14, y, width: step * 0.72, height, rx: 1 }));
    }
    group.append(shape("rect", { x, y: TOP, width: step, height: BASE - TOP, fill: "transparent" }));
    svg.append(group);
    if (new Date(at).getHours() % 6 === 0) svg.append(shape("text", { x, y: HEIGHT - 6 }, clock(at)));
  });
  return svg;
}
