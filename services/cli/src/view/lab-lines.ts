/** A lab for a person: hosts, power, cables, addresses, processes. */
import type { HostStatus, LabStatus } from '@holdfast/lab';
import { cell, table, type Row } from '../text/columns.ts';
import type { Paint } from '../text/paint.ts';

const commandLengthMax = 100;

function row(host: HostStatus): Row {
  const pulled = Object.entries(host.cables).filter(([, state]) => state === 'pulled');
  const frozen = host.processes.filter(({ state }) => state === 'frozen').length;
  const rates = Object.entries(host.rates).filter(([, rate]) => rate !== null);
  const notes = [
    ...pulled.map(([network]) => `${network} cable pulled`),
    ...rates.map(([network, rate]) => `${network} ${String(rate)} bit/s`),
    ...(frozen === 0 ? [] : [`${frozen} frozen`]),
  ];
  return [
    host.name,
    cell(host.power, host.power === 'on' ? 'green' : 'red'),
    host.present.map(({ address }) => address).join(' '),
    String(host.processes.length),
    cell(notes.join(', '), 'yellow'),
  ];
}

export function labLines(status: LabStatus, paint: Paint, wide: boolean): string[] {
  switch (status.kind) {
    case 'down':
      return [`no lab is up in ${status.dir}; make one with: holdfast lab up`];
    case 'ruins':
      return [
        paint('red', `the lab in ${status.dir} is in ruins: ${status.says}`),
        'Remove it with: holdfast lab down',
      ];
    case 'up': {
      const lost = status.partitions.map(({ from, to, network }) =>
        paint('yellow', `lost: what ${from} sends to ${to} on ${network}`),
      );
      const processes = status.hosts.flatMap((host) =>
        host.processes.map(({ pid, command, state }) => {
          const shown =
            command.length > commandLengthMax ? `${command.slice(0, commandLengthMax)}...` : command;
          return `  ${host.name} ${pid} ${state === 'frozen' ? paint('yellow', 'frozen ') : ''}${shown}`;
        }),
      );
      return [
        `lab in ${status.dir}, made ${status.createdAt}`,
        ...table(['HOST', 'POWER', 'ADDRESSES', 'PROCESSES', 'NOTES'], status.hosts.map(row), paint),
        ...lost,
        ...(wide ? ['', ...processes] : []),
      ];
    }
  }
}
