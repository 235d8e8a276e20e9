/** A fence of a group with a name in a hosts file whose disk hangs. */
import { Story, until } from './story.ts';

let story: Story;

afterEach(async () => {
  await story.end();
});

it('does not wait for the name, which goes when the disk lets it', async () => {
  story = await Story.begin({ stations: ['a'] });
  const holding = () => story.station('a').agent.state().groups.get('d3')?.holding.kind;
  story.quorum.own('d3', { kind: 'owned', owner: 'a', epoch: 1n });
  await until('a is active', () => holding() === 'active');
  const { host } = story.station('a');
  let finish: () => void = () => undefined;
  host.unnaming = () =>
    new Promise((resolve) => {
      finish = () => resolve({ kind: 'done' });
    });
  story.quorum.own('d3', { kind: 'owned', owner: 'b', epoch: 2n });
  await until('a is fenced', () => holding() === 'fenced');
  expect(host.hosts.has('d3-main')).toBe(true);
  finish();
  await until('the name is gone', () => !host.hosts.has('d3-main'));
});
