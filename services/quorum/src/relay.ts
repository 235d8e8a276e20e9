/**
 * What the agent of this host hears and sends, as it happens, over a Unix socket: one line each (heard-line.ts of core). Boot
 * times are of this host, so they need no translation. When the agent is gone the quorum service is blind, and knows.
 */

import { createConnection, type Socket } from 'node:net';
import { parseHeard, type Heartbeat } from '@holdfast/core';

export interface RelayListener {
  heard(from: string, path: number, heartbeat: Heartbeat): void;
  connected(yes: boolean): void;
  garbled(says: string): void;
}

export interface Relay {
  close(): void;
}

const retryMs = 200;
const lineBytesMax = 262_144;

export function openRelay(path: string, on: RelayListener): Relay {
  let closed = false;
  let socket: Socket | null = null;
  let timer: NodeJS.Timeout | null = null;
  let wasConnected = false;

  const connect = (): void => {
    const lines = lineReader(on);
    socket = createConnection(path);
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      wasConnected = true;
      on.connected(true);
    });
    socket.on('data', (chunk: string) => lines(chunk));
    // Every error is followed by a close, and there the next try begins.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (wasConnected) on.connected(false);
      wasConnected = false;
      if (!closed) timer = setTimeout(connect, retryMs);
    });
  };
  connect();
  return {
    close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      socket?.destroy();
    },
  };
}

function lineReader(on: RelayListener): (chunk: string) => void {
  let pending = '';
  return (chunk) => {
    pending += chunk;
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    if (pending.length > lineBytesMax) {
      pending = '';
      on.garbled('a line of the relay is too long');
    }
    for (const text of lines) take(text, on);
  };
}

function take(text: string, on: RelayListener): void {
  const parsed = parseHeard(text);
  if (parsed.kind === 'garbage') on.garbled(parsed.says);
  else on.heard(parsed.value.from, parsed.value.path, parsed.value.heartbeat);
}
