/**
 * The three calls of the "Reflect metadata" proposal that @peculiar/x509 needs to load: its own dependency on them is
 * left to the application. Metadata of a class is looked up along its prototypes, as the proposal says.
 * Import this before @peculiar/x509. Source: https://rbuckton.github.io/reflect-metadata/ (getMetadata, getOwnMetadata).
 */
const stored = new WeakMap<object, Map<unknown, unknown>>();

const getOwnMetadata = (key: unknown, target: object): unknown => stored.get(target)?.get(key);

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Reflect.getPrototypeOf(at)) {
    if (stored.get(at)?.has(key) === true) return getOwnMetadata(key, at);
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const own = stored.get(target) ?? new Map<unknown, unknown>();
  own.set(key, value);
  stored.set(target, own);
}

if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getMetadata, getOwnMetadata, defineMetadata });
