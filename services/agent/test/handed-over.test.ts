/** A successor that waits for its predecessor, with a guard that knows nothing of waiting (docs/adr/0071, docs/adr/0074). */

import { Story, until } from './story.ts';

let story: Story;

afterEach(async () => {
  await story.end();
});

describe('an agent that waits for the former owner', () => {
  it('says that its epoch is over when the guard fenced it meanwhile', async () => {
    story = await Story.begin({ stations: ['b'] });
    const { guard } = story.station('b');
    story.quorum.own('d3', { kind: 'owned', owner: 'b', epoch: 5n, after: { server: 'a', epoch: 4n } });
    await until('the guard is armed', () => guard.armed.get('d3')?.epoch === '5');
    story.quorum.deaf = true;
    await until('the guard fenced', () => guard.fenced.length === 1);
    story.quorum.deaf = false;
    await until('b says so', () => story.quorum.reportOf('b', 'd3')?.state === 'fenced');
    expect(story.quorum.reportOf('b', 'd3')).toMatchObject({ epoch: 5n });
    expect(story.network.history).toEqual([]);
  });
});
