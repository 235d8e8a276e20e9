/** What a dialer asks for in its TLS handshake, before anything else is said (ALPN, RFC 7301): see admission.ts. */
export const encryptedProtocol = 'holdfast-mirror';
export const plainProtocol = 'holdfast-mirror-plain';
