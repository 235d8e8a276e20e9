/**
 * grpc-js finds a member by the addresses it has, in their order, IPv4 and IPv6 mixed: `holdfast:10.0.0.1,fd00::1:7443`
 * would be ambiguous, so that the list travels as one path of base64url JSON. Nothing is ever looked up.
 */
import { experimental, status, Metadata } from '@grpc/grpc-js';

const scheme = 'holdfast';

type Places = readonly { readonly host: string; readonly port: number }[];

class AddressList implements experimental.Resolver {
  readonly #target: experimental.GrpcUri;
  readonly #listener: experimental.ResolverListener;
  #told = false;

  constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener) {
    this.#target = target;
    this.#listener = listener;
  }

  updateResolution(): void {
    if (this.#told) return;
    this.#told = true;
    process.nextTick(() => {
      const places = placesOf(this.#target);
      const result =
        places.length === 0
          ? experimental.statusOrFromError<experimental.Endpoint[]>({
              code: status.UNAVAILABLE,
              details: 'no address is known',
              metadata: new Metadata(),
            })
          : experimental.statusOrFromValue(places.map((place) => ({ addresses: [place] })));
      this.#listener(result, {}, null, '');
    });
  }

  destroy(): void {
    this.#told = false;
  }

  static getDefaultAuthority(): string {
    return scheme;
  }
}

/** What `addressTarget` wrote in this process. */
const placesOf = ({ path }: experimental.GrpcUri): Places =>
  JSON.parse(Buffer.from(path, 'base64url').toString('utf8')) as Places;

experimental.registerResolver(scheme, AddressList);

/** The target for a channel to one member. */
export function addressTarget(addresses: readonly string[], port: number): string {
  const places: Places = addresses.map((host) => ({ host, port }));
  return `${scheme}:${Buffer.from(JSON.stringify(places), 'utf8').toString('base64url')}`;
}
