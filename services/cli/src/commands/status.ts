/** `holdfast status`: the whole cluster at a glance. */
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { ok, type Ended } from '../trouble.ts';
import { statusLines } from '../view/status-lines.ts';
import { statusView } from '../view/status-view.ts';
import { showOrWatch } from '../watch.ts';

export function status(context: Context, options: { readonly watch?: boolean }): Promise<Ended> {
  return withCluster(context, (client) =>
    showOrWatch(context, options.watch ?? false, async () => {
      const reply = await ask(client.status(), 'status');
      if (reply.kind === 'error') return reply;
      const view = statusView(reply.value);
      return ok({ value: view, lines: (paint, wide) => statusLines(view, paint, wide) });
    }),
  );
}
