// A chart of two numbers a day, and the same as a table for those who do not
// see it. Each has its own scale.
import { h, svg } from './dom.js';
import { table } from './widgets.js';

const WIDTH = 720;
const HEIGHT = 150;
const FOOT = 16;

export function bars(caption, points, nameA, nameB) {
  const step = WIDTH / Math.max(points.length, 1);
  const scale = (key) => Math.max(1, ...points.map((p) => p[key] ?? 0));
  const bar = (p, i, key, kind, offset, most) => {
    const height = ((p[key] ?? 0) / most) * (HEIGHT - FOOT - 4);
    return svg('rect', { class: kind, x: i * step + offset * step, y: HEIGHT - FOOT - height, width: step * (nameB ? 0.4 : 0.8), height },
      svg('title', {}, `${p.label}: ${p[key]}`));
  };
  const [mostA, mostB] = [scale('a'), scale('b')];
  const every = Math.ceil(points.length / 6);
  const picture = svg('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': caption },
    svg('line', { x1: 0, x2: WIDTH, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT }),
    points.map((p, i) => [
      bar(p, i, 'a', 'a', 0.1, mostA),
      nameB && bar(p, i, 'b', 'b', 0.5, mostB),
      i % every === 0 && svg('text', { x: i * step + 2, y: HEIGHT - 4 }, p.label),
    ]));
  return h('div', {},
    picture,
    h('p', { class: 'small soft' }, h('span', { class: 'swatch' }), `${nameA} (at most ${mostA} a day)`,
      nameB && [' ', h('span', { class: 'swatch b' }), `${nameB} (at most ${mostB} a day)`]),
    h('details', {}, h('summary', {}, 'As a table'), table(caption, [
      { head: 'Day', cell: (p) => p.label },
      { head: nameA, num: true, cell: (p) => p.a },
      ...(nameB ? [{ head: nameB, num: true, cell: (p) => p.b }] : []),
    ], [...points].reverse())));
}
