import { execFileSync } from 'node:child_process';
import { FakeCluster, run } from './fake-cluster.ts';

/** What bash would offer after these words; the last one is being typed. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const { out } = await run(new FakeCluster(), ['completion', 'bash']);
  const array = ['holdfast', ...words].map((word) => `'${word}'`).join(' ');
  const script = `${out}\nCOMP_WORDS=(${array}); COMP_CWORD=${words.length}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8', timeout: 5000 }).trim().split('\n');
}

describe('completion', () => {
  it('offers commands, their options and their arguments', async () => {
    expect(await offered('swi')).toEqual(['switchover']);
    expect(await offered('get', 'gr')).toEqual(['groups']);
    expect(await offered('lab', 'u')).toEqual(['up']);
    expect(await offered('switchover', 'd3', '--t')).toEqual(['--to']);
    expect(await offered('maintenance', '')).toEqual(expect.arrayContaining(['on', 'off', '--server']));
    expect(await offered('status', '-o', 'j')).toEqual(['json']);
    expect(await offered('--dir', '/x', 'fail')).toEqual(['failback', 'failover']);
  });

  it('knows every command in every shell', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { status, out } = await run(new FakeCluster(), ['completion', shell]);
      expect(status).toBe(0);
      for (const word of ['switchover', 'maintenance', 'lab', '--dry-run', '--port-grpc'])
        expect(out).toContain(word);
    }
    expect((await run(new FakeCluster(), ['completion', 'tcsh'])).status).toBe(2);
  });
});
