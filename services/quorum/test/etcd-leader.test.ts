/** Which witness etcd's leadership is handed to, and when. */
import { SteadyWitness } from '../src/etcd-leader.ts';

const heard = (rttMs: number | null, member = 'w') => ({ member, rttMs });

it('a witness that was heard three times in a row, and is near', () => {
  const steady = new SteadyWitness();
  expect([heard(2), heard(3), heard(2)].map((one) => steady.look(one))).toEqual([null, null, 'w']);
});

it('is near by its shortest round trip: a busy host makes the others longer', () => {
  const steady = new SteadyWitness();
  expect([heard(45), heard(8), heard(60)].map((one) => steady.look(one))).toEqual([null, null, 'w']);
});

it('is given nothing while all of them are long, or none is known', () => {
  const steady = new SteadyWitness();
  expect([heard(100), heard(90), heard(null), heard(100)].map((one) => steady.look(one))).toEqual([
    null,
    null,
    null,
    null,
  ]);
  // What it was before the latest looks does not count.
  expect([heard(5), heard(100), heard(100), heard(100)].map((one) => steady.look(one)).at(-1)).toBeNull();
});

it('begins anew when it was not heard, is another one, or was asked', () => {
  const steady = new SteadyWitness();
  expect([heard(2), heard(2), null, heard(2), heard(2)].map((one) => steady.look(one))).toEqual([
    null,
    null,
    null,
    null,
    null,
  ]);
  expect([heard(2, 'v'), heard(2, 'v')].map((one) => steady.look(one))).toEqual([null, null]);
  expect(steady.look(heard(2, 'v'))).toBe('v');
  steady.forget();
  expect(steady.look(heard(2, 'v'))).toBeNull();
});
