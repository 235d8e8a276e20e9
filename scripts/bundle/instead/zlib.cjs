/** `zlib` for gRPC, which it calls only for messages that are compressed. */
module.exports = new Proxy({}, { get: (_none, name) => require('node:zlib')[name] });
