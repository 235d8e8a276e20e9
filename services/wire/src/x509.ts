/** The library of certificates as it is used here; loaded as a whole by whoever needs it (pki.ts), after reflect-metadata.ts. */
import * as x509 from '@peculiar/x509';
import { webcrypto } from 'node:crypto';

x509.cryptoProvider.set(webcrypto);

export { x509 };
