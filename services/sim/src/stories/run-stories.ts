/** All stories, or those whose name begins so, each over a few seeds. */

import { stories } from './stories.ts';
import { tell, type Told } from './story.ts';

export function matching(name: string): typeof stories {
  return stories.filter((s) => s.name === name || s.name.startsWith(`${name} `));
}

export function tellStory(name: string, seed: number): Told {
  const story = stories.find((s) => s.name === name);
  if (story === undefined) throw new Error(`there is no story ${name}`);
  return tell(story, seed);
}
