/** The points that hooks and resources of a story pass (programs/point.sh): held, made to fail, counted. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';
import type { World } from './world.ts';

/** In the order of a planned move: the first three on the server that gives, the others on the one that takes. */
export const pointNames = [
  'beforeRelease',
  'stop',
  'afterRelease',
  'beforeTakeover',
  'start',
  'afterTakeover',
] as const;
export type PointName = (typeof pointNames)[number];

const file = (world: World, name: string): string => join(world.points, name);

export function hold(world: World, name: PointName): void {
  writeFileSync(file(world, `${name}.hold`), '');
}

export function letGo(world: World, name: PointName): void {
  rmSync(file(world, `${name}.hold`), { force: true });
}

/** On one host only, if it is named. */
export function fail(world: World, name: PointName, host?: string): void {
  writeFileSync(file(world, host === undefined ? `${name}.fail` : `${name}.${host}.fail`), '');
}

export function letPass(world: World, name: PointName, host?: string): void {
  rmSync(file(world, host === undefined ? `${name}.fail` : `${name}.${host}.fail`), { force: true });
}

/** Resolves when the point that is held runs on that host. */
export async function reached(world: World, name: PointName, host: string, limitMs = 20_000): Promise<void> {
  await until(
    `${host} is at ${name}`,
    limitMs,
    () => existsSync(file(world, `${name}.${host}.reached`)),
    () => world.ended.join('\n'),
  );
}

/** Every run of a point since the story began, in order: NAME HOST EPOCH. */
export function calls(world: World): string[] {
  const path = file(world, 'calls');
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
}

/** How many runs of points are alive on a host. */
export const pointsAlive = (world: World, host: string): number =>
  world.lab
    .host(host)
    .views()
    .filter(({ command }) => command.includes('point.sh')).length;
