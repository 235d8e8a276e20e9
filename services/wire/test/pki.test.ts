import { createHash, X509Certificate } from 'node:crypto';
import {
  fingerprint,
  parseCertificate,
  verifyCertificate,
  type CertificateProblem,
} from '../src/certificate.ts';
import type { Outcome } from '../src/outcome.ts';
import { createSigningRequest, issueCertificate } from '../src/pki.ts';
import { cluster, error, member, value, type Cluster, type Life } from './cluster.ts';

const dayMs = 24 * 60 * 60 * 1000;

describe('a certificate', () => {
  let acme: Cluster;
  beforeAll(async () => {
    acme = await cluster();
  });

  async function judged(life: Life, by: Cluster = acme): Promise<Outcome<unknown, CertificateProblem>> {
    const { certificate } = await member(acme, 'server', 'a', life);
    const authority = new X509Certificate(by.authority.certificate);
    return verifyCertificate(new X509Certificate(certificate), authority, 'acme', Date.now());
  }

  it('names the member in every way that TLS asks for', async () => {
    const certificate = new X509Certificate((await member(acme, 'server', 'a')).certificate);
    expect(certificate.subjectAltName).toBe(
      'DNS:a.acme.holdfast, URI:holdfast://acme/server/a, DNS:localhost, IP Address:127.0.0.1, IP Address:FD00:0:0:0:0:0:0:1',
    );
    expect(certificate.checkIP('fd00::1')).toBeDefined();
    expect([...certificate.keyUsage].sort()).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(certificate.ca).toBe(false);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  });

  it.each(['operator', 'viewer'] as const)('of the role %s is good for no TLS but ours', async (role) => {
    const certificate = new X509Certificate((await member(acme, role, 'jo')).certificate);
    expect(certificate.subjectAltName).toBe(`DNS:jo.acme.holdfast, URI:holdfast://acme/${role}/jo`);
    // None at all would be all of them.
    expect(certificate.keyUsage).toEqual(['1.3.6.1.4.1.32473.1.1']);
  });

  it('lives ten years, and its authority twenty', async () => {
    const years = (pem: string): number => {
      const { validTo } = new X509Certificate(pem);
      return Math.round((Date.parse(validTo) - Date.now()) / (365 * dayMs));
    };
    const { certificate, authority } = await member(acme, 'server', 'a');
    expect([years(certificate), years(authority)]).toEqual([10, 20]);
  });

  it('is accepted, or refused for a reason that has a name', async () => {
    expect(value(await judged({}))).toMatchObject({ peer: { cluster: 'acme', role: 'server', id: 'a' } });
    expect(error(await judged({ nowMs: Date.now() - 3 * dayMs, lifeMs: dayMs })).kind).toBe('expired');
    expect(error(await judged({ nowMs: Date.now() + 3 * dayMs })).kind).toBe('not-yet-valid');
    expect(error(await judged({ claims: 'other' }))).toEqual({
      kind: 'wrong-cluster',
      says: 'a is of cluster other, not acme',
    });
    expect(error(await judged({}, await cluster())).kind).toBe('wrong-authority');
  });

  it('is not accepted from a member that signs for others', async () => {
    const a = await member(acme, 'server', 'a');
    const { request } = await createSigningRequest('b');
    const order = { peer: { cluster: 'acme', role: 'server', id: 'b' }, addresses: [] } as const;
    const forged = value(await issueCertificate({ certificate: a.certificate, key: a.key }, request, order));
    const authority = new X509Certificate(acme.authority.certificate);
    const found = verifyCertificate(new X509Certificate(forged), authority, 'acme', Date.now());
    expect(error(found).kind).toBe('wrong-authority');
  });

  it('is the authority itself for nobody', () => {
    const authority = new X509Certificate(acme.authority.certificate);
    expect(error(verifyCertificate(authority, authority, 'acme', Date.now())).kind).toBe('malformed');
  });

  it.each(['', 'A', '-a', 'a-', 'a_b', 'a.b', 'a, URI:holdfast://acme/server/x', 'x'.repeat(64), 'é'])(
    'is not issued to %j',
    async (id) => {
      const { request } = await createSigningRequest('b');
      const order = { peer: { cluster: 'acme', role: 'server', id }, addresses: [] } as const;
      expect(error(await issueCertificate(acme.authority, request, order)).kind).toBe('bad-name');
    },
  );

  it('is not issued for a request that is damaged or not signed by its key', async () => {
    const order = { peer: { cluster: 'acme', role: 'server', id: 'b' }, addresses: [] } as const;
    const { request } = await createSigningRequest('b');
    const der = Buffer.from(request.replace(/-----[^-]+-----/g, ''), 'base64');
    // The last byte is of the signature.
    der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    for (const bad of [pem, '', 'nonsense', request.slice(0, 200)]) {
      expect(error(await issueCertificate(acme.authority, bad, order)).kind).toBe('bad-request');
    }
  });

  it('has the fingerprint that openssl would print', () => {
    const { raw } = new X509Certificate(acme.authority.certificate);
    expect(fingerprint(acme.authority.certificate)).toEqual(createHash('sha256').update(raw).digest());
  });

  it('is null when it is none', () => {
    expect(parseCertificate('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----')).toBeNull();
  });
});
