// Ties a lab to the life of this process: a watcher of its own session reads from a pipe whose other end only this process
// has. When this process ends, in whatever way, the kernel closes the pipe and the watcher removes the lab.
// The watcher is a shell: it must work when our code is gone, and costs 1 MB.
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { environment } from './command.ts';
import { signal, withLastWords } from './process.ts';

// Ends every process with the mark among its mounts, and every process in a network namespace of one of these (but
// never in the watcher's own network), until five looks in a row find none. Then removes the directory.
const watcherScript = `cat >/dev/null
mark=$1; dir=$2; none=0; rounds=0
own=$(readlink /proc/$$/ns/net)
while [ $none -lt 5 ] && [ $rounds -lt 500 ]; do
  rounds=$((rounds + 1)); found=
  spaces=
  for file in $(grep -lsF "$mark" /proc/[0-9]*/mountinfo); do
    pid=\${file#/proc/}; pid=\${pid%/mountinfo}
    space=$(readlink "/proc/$pid/ns/net") && [ -n "$space" ] || continue
    found="$found $pid"
    [ "$space" = "$own" ] || spaces="$spaces $space"
  done
  if [ -n "$spaces" ]; then
    for line in $(stat -c '%N' /proc/[0-9]*/ns/net 2>/dev/null | tr -d "' " ); do
      for space in $spaces; do
        case $line in *"$space") pid=\${line#/proc/}; found="$found \${pid%%/*}"; break;; esac
      done
    done
  fi
  if [ -n "$found" ]; then none=0; kill -9 $found 2>/dev/null; else none=$((none + 1)); fi
  sleep 0.02
done
rm -rf -- "$dir"`;

const watcherName = 'holdfast-lab-watch';

/** Starts the watcher. Call it before anything of the lab exists, so that there is no moment without one. */
export function tieToThisProcess(mark: string, dir: string): void {
  const child = spawn('sh', ['-c', watcherScript, watcherName, mark, dir], {
    detached: true,
    env: environment(),
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  // The pipe must not keep this process alive: its end is the message.
  if (child.stdin instanceof Socket) child.stdin.unref();
}

/** Ends the watchers of a lab, whoever started them, so that none outlives it and removes a later lab. */
export function untie(mark: string, dir: string): void {
  for (const pid of withLastWords([watcherName, mark, dir])) signal(pid, 'SIGKILL');
}

export function isTied(mark: string, dir: string): boolean {
  return withLastWords([watcherName, mark, dir]).length > 0;
}
