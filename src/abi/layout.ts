/**
 * Struct layouts: declared once as a list of fields, compiled once into a reader and a writer with literal offsets.
 *
 * Offsets follow C's rules for x86-64 and arm64 (natural alignment, little-endian). The stated size is checked against
 * them when a struct is declared, and every struct against the kernel's header in a test.
 *
 * The two functions are generated source (`new Function`), made at the first use: a closure per field costs ten times
 * as much, and a struct that is never used costs nothing.
 */

/** How one field of a struct lies in memory. */
export interface Field<T> {
  /** Width in bytes. */
  readonly size: number;
  /** Alignment in bytes. */
  readonly align: number;
  /** The source of an expression that reads the field at offset `at`, with `v` the DataView. */
  readonly get: (at: string, path: string) => string;
  /** The source of a statement that writes `x` at offset `at`. */
  readonly put: (at: string, x: string, path: string) => string;
  /** Whether the field carries no value: written as zero, absent from the type. */
  readonly padding: boolean;
  /** Only for the type checker. */
  readonly type?: T;
}

/** A field that carries nothing. */
export interface Padding extends Field<never> {
  readonly padding: true;
}

function scalar<T>(size: number, kind: string): Field<T> {
  const little = size === 1 ? "" : ",true";
  return {
    size,
    align: size,
    padding: false,
    get: (at) => `v.get${kind}(${at}${little})`,
    put: (at, x) => `v.set${kind}(${at},${x}${little});`,
  };
}

function pad(size: number, align: number): Padding {
  return {
    size,
    align,
    padding: true,
    get: () => "",
    put(at) {
      const width = Math.min(align, 4);
      let out = "";
      for (let i = 0; i < size; i += width) out += `v.setUint${width * 8}(${at}+${i},0${width > 1 ? ",true" : ""});`;
      return out;
    },
  };
}

/** Unsigned, 8 bits. */
export const u8: Field<number> = scalar<number>(1, "Uint8");
/** Unsigned, 16 bits. */
export const u16: Field<number> = scalar<number>(2, "Uint16");
/** Unsigned, 32 bits. */
export const u32: Field<number> = scalar<number>(4, "Uint32");
/** Signed, 32 bits. */
export const i32: Field<number> = scalar<number>(4, "Int32");
/** Unsigned, 64 bits, as a bigint: only where the kernel may use all of them. */
export const u64: Field<bigint> = scalar<bigint>(8, "BigUint64");
/**
 * Unsigned, 64 bits, as a number. Reading or writing more than 2^53-1 is an EOVERFLOW ({@linkcode OverflowError}).
 */
export const u53: Field<number> = {
  size: 8,
  align: 8,
  padding: false,
  get: (at, path) => `u53get(v,${at},${JSON.stringify(path)})`,
  put: (at, x, path) => `u53put(v,${at},${x},${JSON.stringify(path)});`,
};
/** {@linkcode u53} that says how far a file is to reach: reading more than 2^53-1 is an EFBIG. */
export const filesize: Field<number> = { ...u53, get: (at, path) => `u53get(v,${at},${JSON.stringify(path)},"EFBIG")` };
/** Signed, 64 bits, as a number, with the same bound on both sides. */
export const i53: Field<number> = {
  size: 8,
  align: 8,
  padding: false,
  get: (at, path) => `i53get(v,${at},${JSON.stringify(path)})`,
  put: (at, x, path) => `i53put(v,${at},${x},${JSON.stringify(path)});`,
};
/** {@linkcode i53} of which reading more is reading the bound: times, and places behind the end of every file. */
export const nearest: Field<number> = { ...i53, get: (at) => `nearestget(v,${at})` };
/**
 * Unsigned, 64 bits, for numbers made elsewhere (inode numbers of other file systems): a number where it is safe, a
 * bigint beyond.
 */
export const u64n: Field<number | bigint> = {
  size: 8,
  align: 8,
  padding: false,
  get: (at) => `u64nget(v,${at})`,
  put: (at, x, path) => `u64nput(v,${at},${x},${JSON.stringify(path)});`,
};
/** A byte that carries nothing. */
export const pad8: Padding = pad(1, 1);
/** Two bytes that carry nothing. */
export const pad16: Padding = pad(2, 2);
/** Four bytes that carry nothing. */
export const pad32: Padding = pad(4, 4);
/** Eight bytes that carry nothing. */
export const pad64: Padding = pad(8, 8);
/** `count` times the padding `of`. */
export function padding(of: Padding, count: number): Padding {
  return pad(of.size * count, of.align);
}

/** A number that does not fit: the errno is EOVERFLOW, or EFBIG where a file would have to be that large. */
export class OverflowError extends RangeError {
  override name = "OverflowError";
  /** As node spells it, so that the one errno mapping finds it. */
  readonly code: "EOVERFLOW" | "EFBIG";

  constructor(message: string, code: "EOVERFLOW" | "EFBIG" = "EOVERFLOW") {
    super(message);
    this.code = code;
  }
}

const TWO32 = 4294967296;

function overflow(path: string, value: unknown, code?: OverflowError["code"]): never {
  throw new OverflowError(`${path}: ${value} is not a whole number within 2^53-1`, code);
}

function u53get(v: DataView, at: number, path: string, code?: OverflowError["code"]): number {
  const high = v.getUint32(at + 4, true);
  if (high > 0x1fffff) overflow(path, v.getBigUint64(at, true), code);
  return high * TWO32 + v.getUint32(at, true);
}

function u53put(v: DataView, at: number, x: number, path: string): void {
  if (x >= 0 && x < TWO32) {
    v.setUint32(at, x, true);
    v.setUint32(at + 4, 0, true);
    return;
  }
  if (!(x >= 0 && x <= Number.MAX_SAFE_INTEGER)) overflow(path, x);
  v.setUint32(at, x % TWO32, true);
  v.setUint32(at + 4, x / TWO32, true);
}

function i53get(v: DataView, at: number, path: string): number {
  const high = v.getInt32(at + 4, true);
  const value = high * TWO32 + v.getUint32(at, true);
  if (!Number.isSafeInteger(value)) overflow(path, v.getBigInt64(at, true));
  return value;
}

function i53put(v: DataView, at: number, x: number, path: string): void {
  if (!(Math.abs(x) <= Number.MAX_SAFE_INTEGER)) overflow(path, x);
  const high = Math.floor(x / TWO32);
  v.setUint32(at, x - high * TWO32, true);
  v.setInt32(at + 4, high, true);
}

function nearestget(v: DataView, at: number): number {
  const value = v.getInt32(at + 4, true) * TWO32 + v.getUint32(at, true);
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
}

function u64nget(v: DataView, at: number): number | bigint {
  const value = v.getUint32(at + 4, true) * TWO32 + v.getUint32(at, true);
  return value <= Number.MAX_SAFE_INTEGER ? value : v.getBigUint64(at, true);
}

function u64nput(v: DataView, at: number, x: number | bigint, path: string): void {
  if (typeof x === "bigint") v.setBigUint64(at, x, true);
  else u53put(v, at, x, path);
}

/** Named fields in the order of the C struct. */
export type Shape = Readonly<Record<string, Field<unknown>>>;
type Carried<S extends Shape> = { [K in keyof S]: S[K] extends Padding ? never : K }[keyof S];
type FieldValue<F> = F extends Field<infer T> ? T : never;
/** The value that a reader of shape `S` returns and its writer takes. */
export type ValueOf<S extends Shape> = { [K in Carried<S>]: FieldValue<S[K]> };

/** Where a field lies. */
export interface FieldLayout {
  readonly name: string;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Width in bytes. */
  readonly size: number;
}

/** A C struct. It is a field itself, so structs nest. */
export interface Struct<V> extends Field<V> {
  /** The kernel's name of it. */
  readonly name: string;
  /** `sizeof`, in bytes. */
  readonly size: number;
  /** Every field with its offset, padding included. */
  readonly layout: readonly FieldLayout[];
  /** Reads one at offset `at` of the view. */
  read(view: DataView, at: number): V;
  /** Writes one at offset `at` of the view; padding becomes zero. */
  write(view: DataView, at: number, value: V): void;
  /** `offsetof`, in bytes. */
  offsetOf(field: string): number;
  /** A reader that returns only some fields, under other names: `pick({ newName: "kernel_name" })`. */
  pick<const M extends Readonly<Record<string, keyof V & string>>>(
    names: M,
  ): (view: DataView, at: number) => { [K in keyof M]: V[M[K]] };
}

interface Placed extends FieldLayout {
  readonly field: Field<unknown>;
}

// What generated code may call, as the parameters of the function that makes it.
const helpers = { u53get, u53put, i53get, i53put, nearestget, u64nget, u64nput };

function compile<F>(parameters: string, body: string): F {
  const make = new Function(...Object.keys(helpers), `return (${parameters})=>{${body}}`);
  return make(...Object.values(helpers)) as F;
}

function place(name: string, shape: Shape): { placed: Placed[]; align: number; end: number } {
  const placed: Placed[] = [];
  let end = 0, align = 1;
  for (const [key, field] of Object.entries(shape)) {
    const offset = Math.ceil(end / field.align) * field.align;
    if (offset !== end) throw new TypeError(`struct ${name}: a hole before ${key}: name the padding`);
    placed.push({ name: key, offset, size: field.size, field });
    end = offset + field.size;
    align = Math.max(align, field.align);
  }
  return { placed, align, end };
}

/** The source of an object literal that reads the given fields; a nested struct becomes a nested literal. */
function literal(at: string, fields: readonly { key: string; from: Placed }[], path: string): string {
  const parts = fields.filter(({ from }) => !from.field.padding).map(({ key, from }) =>
    `${JSON.stringify(key)}:${from.field.get(`${at}+${from.offset}`, `${path}.${from.name}`)}`
  );
  return `{${parts.join(",")}}`;
}

/**
 * Declares a struct: its kernel name, its size in bytes and its fields in order.
 *
 * Throws a TypeError where the size or an implicit hole contradicts C's layout rules.
 */
export function struct<const S extends Shape>(name: string, size: number, shape: S): Struct<ValueOf<S>> {
  type V = ValueOf<S>;
  const { placed, align, end } = place(name, shape);
  if (end !== size || size % align !== 0) {
    throw new TypeError(`struct ${name}: stated as ${size} bytes, but its fields take ${end}, aligned to ${align}`);
  }
  const whole = (at: string, path: string) => literal(at, placed.map((from) => ({ key: from.name, from })), path);
  const store = (at: string, x: string, path: string) =>
    placed.map((p) => p.field.put(`${at}+${p.offset}`, `${x}.${p.name}`, `${path}.${p.name}`)).join("");
  const self: Struct<V> = {
    name,
    size,
    align,
    padding: false,
    layout: placed.map(({ name, offset, size }) => ({ name, offset, size })),
    get: whole,
    put: store,
    read(view, at) {
      self.read = compile<Struct<V>["read"]>("v,at", `return ${whole("at", name)};`);
      return self.read(view, at);
    },
    write(view, at, value) {
      self.write = compile<Struct<V>["write"]>("v,at,x", store("at", "x", name));
      self.write(view, at, value);
    },
    offsetOf(field) {
      const found = placed.find((p) => p.name === field);
      if (!found) throw new TypeError(`struct ${name} has no field ${field}`);
      return found.offset;
    },
    pick(names) {
      const fields = Object.entries(names).map(([key, from]) => {
        const found = placed.find((p) => p.name === from);
        if (!found) throw new TypeError(`struct ${name} has no field ${from}`);
        return { key, from: found };
      });
      type Reader = ReturnType<Struct<V>["pick"]>;
      let reader: Reader = (view, at) => {
        reader = compile<Reader>("v,at", `return ${literal("at", fields, name)};`);
        return reader(view, at);
      };
      // The names are in the type of `names`, which a generated function cannot show.
      return ((view: DataView, at: number) => reader(view, at)) as any;
    },
  };
  return self;
}
