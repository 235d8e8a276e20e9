/** When a target that is there counts as lost. */
import { Silence } from '../src/volumes/source/silence.ts';

const owes = (unansweredMs: number | null, undurableMs = unansweredMs): Parameters<Silence['look']>[0] => ({
  unansweredMs,
  undurableMs,
});

it('who owes an answer for as long as is waited for it is lost since then', () => {
  const silence = new Silence();
  expect([5_900, 6_000, 6_100].map((at) => silence.look(owes(1_000), 0, at, 5_000))).toEqual([
    null,
    null,
    1_000,
  ]);
});

it('what arrived while nobody looked is taken first', () => {
  const silence = new Silence();
  // The thread stood still for a while; then it reads what had come.
  expect(silence.look(owes(1_000), 0, 20_000, 5_000)).toBeNull();
  expect(silence.look(owes(null), 0, 20_100, 5_000)).toBeNull();
  expect(silence.look(owes(20_050), 0, 20_200, 5_000)).toBeNull();
});

it('where nobody waits it has a minute to make something durable', () => {
  const silence = new Silence();
  const looks = [5_000, 59_000, 60_000, 60_100];
  expect(looks.map((at) => silence.look(owes(null, 0), 0, at, Infinity))).toEqual([null, null, null, 0]);
});

it('what was sent before nobody waited for it does not count', () => {
  const silence = new Silence();
  expect([9_000, 9_100].map((at) => silence.look(owes(1_000), 8_000, at, 2_000))).toEqual([null, null]);
});
