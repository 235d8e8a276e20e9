/** What is still to happen, in order of true time; things of one moment happen in the order they were planned. */

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly what: () => void;
}

export class EventQueue {
  private readonly heap: Planned[] = [];
  private planned = 0;

  push(at: number, what: () => void): void {
    const { heap } = this;
    const entry = { at, order: (this.planned += 1), what };
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Planned;
      if (!before(entry, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  pop(): { readonly at: number; readonly what: () => void } | null {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return null;
    if (heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Planned, heap[child] as Planned)) child += 1;
      const below = heap[child] as Planned;
      if (!before(below, last)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
    return top;
  }

  get size(): number {
    return this.heap.length;
  }
}

function before(x: Planned, y: Planned): boolean {
  return x.at < y.at || (x.at === y.at && x.order < y.order);
}
