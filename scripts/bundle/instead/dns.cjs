/** `dns` for gRPC, which it asks only for names: members have addresses. */
module.exports = new Proxy({}, { get: (_none, name) => require('node:dns')[name] });
