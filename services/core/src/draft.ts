/**
 * A state while one turn of a loop works on it: a copy that nobody else has yet, so its fields are set in place and a turn
 * makes one new state, not one for each thing it does. What the fields hold is immutable, and so is the state once the
 * turn has given it back.
 */

export type Draft<State> = { -readonly [Field in keyof State]: State[Field] };
