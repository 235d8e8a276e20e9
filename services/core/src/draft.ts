/**
 * A state while one turn of a loop works on it: a copy that nobody else has yet, so its fields are set in place and a turn
 * makes one new state, not one for each thing it does. What the fields hold is immutable, and so is the state once the
 * turn has given it back.
 *
 * Where a state is copied at every event, the copy names its fields: V8 gives each copy that is spread from a spread copy
 * a shape of its own, and after four of them it copies field by field, fifty times as slowly, and reads every field by
 * looking it up.
 */

export type Draft<State> = { -readonly [Field in keyof State]: State[Field] };
