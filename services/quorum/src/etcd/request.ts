/** Between core's transactions and rows and etcd's messages. Pure; the only place that knows both shapes. */

import { opsMax, opsOf, type Compare, type Row, type Txn } from '@holdfast/core';
import { etcd } from '@holdfast/proto';
import type { DeletedRow } from '../store.ts';

/**
 * @throws when the transaction is one that etcd would refuse whole: more operations than `opsMax`, a key written twice,
 *   an empty key or prefix. That is a mistake of the caller, not a failure.
 */
export function txnRequest(txn: Txn): etcd.TxnRequest {
  const writes = [...txn.puts.map((put) => put.key), ...txn.deletes];
  const ops = opsOf(txn);
  if (ops > opsMax) throw new Error(`store: a transaction of ${ops} operations; the limit is ${opsMax}`);
  if (new Set(writes).size !== writes.length)
    throw new Error(`store: a transaction writes a key twice: ${writes.join(', ')}`);
  if (writes.includes('') || txn.compares.some((compare) => compare.key === ''))
    throw new Error('store: a transaction names an empty key');
  const reads = txn.reads.map((prefix): etcd.RequestOp => ({
    request: { $case: 'requestRange', value: prefixRange(prefix) },
  }));
  return {
    compare: txn.compares.map(compareMessage),
    success: [...txn.puts.map(putOp), ...txn.deletes.map(deleteOp), ...reads],
    failure: reads,
  };
}

/** Everything under the prefix, in key order. */
export function prefixRange(prefix: string): etcd.RangeRequest {
  if (prefix === '') throw new Error('store: an empty prefix would read the whole of etcd');
  const key = Buffer.from(prefix, 'utf8');
  return etcd.RangeRequest.create({ key, rangeEnd: prefixEnd(key) });
}

/** The first key after all keys with this prefix: the prefix with its last byte raised (utf-8 never has 0xff). */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return end;
}

export function rowsOf(response: etcd.RangeResponse): Row[] {
  return response.kvs.map(row);
}

/** The rows of all reads of a transaction, in the order in which they were asked for. */
export function rowsOfTxn(response: etcd.TxnResponse): Row[] {
  return response.responses.flatMap((op) =>
    op.response?.$case === 'responseRange' ? rowsOf(op.response.value) : [],
  );
}

export function changeOf(event: etcd.Event): Row | DeletedRow | null {
  if (event.kv === undefined) return null;
  if (event.type === etcd.Event_EventType.PUT) return row(event.kv);
  return { key: event.kv.key.toString('utf8'), value: null, modRevision: event.kv.modRevision };
}

function row(kv: etcd.KeyValue): Row {
  return { key: kv.key.toString('utf8'), value: kv.value.toString('utf8'), modRevision: kv.modRevision };
}

function compareMessage(compare: Compare): etcd.Compare {
  const key = Buffer.from(compare.key, 'utf8');
  const result = etcd.Compare_CompareResult.EQUAL;
  switch (compare.kind) {
    case 'mod-revision':
      return {
        key,
        result,
        target: etcd.Compare_CompareTarget.MOD,
        targetUnion: { $case: 'modRevision', value: compare.revision },
      };
    case 'value':
      return {
        key,
        result,
        target: etcd.Compare_CompareTarget.VALUE,
        targetUnion: { $case: 'value', value: Buffer.from(compare.value, 'utf8') },
      };
  }
}

function putOp(put: { readonly key: string; readonly value: string }): etcd.RequestOp {
  const value = etcd.PutRequest.create({
    key: Buffer.from(put.key, 'utf8'),
    value: Buffer.from(put.value, 'utf8'),
  });
  return { request: { $case: 'requestPut', value } };
}

function deleteOp(key: string): etcd.RequestOp {
  const value = etcd.DeleteRangeRequest.create({ key: Buffer.from(key, 'utf8') });
  return { request: { $case: 'requestDeleteRange', value } };
}
