import {
  type Data,
  DataType,
  type Field,
  FixedSizeList,
  LargeList,
  List,
  Map_,
  Struct,
  type TypeMap,
  Union,
} from "apache-arrow";

/**
 * Describes a type. Types whose values go into one column have the same text: the width of
 * dictionary codes and the nullability of fields do not count.
 */
export function describeType(type: DataType): string {
  if (DataType.isDictionary(type)) return `Dictionary<${describeType(type.dictionary)}>`;
  const children = (type.children ?? []) as readonly Field[];
  if (children.length === 0) return String(type);
  const inner = children.map((child) => `${child.name}: ${describeType(child.type)}`).join(", ");
  if (DataType.isFixedSizeList(type)) return `FixedSizeList[${type.listSize}]<${inner}>`;
  if (DataType.isUnion(type)) return `Union[${type.mode}, ${type.typeIds}]<${inner}>`;
  return `${type[Symbol.toStringTag as never] as string}<${inner}>`;
}

/** The nested type with other fields. */
export function withChildren(type: DataType, children: readonly Field[]): DataType {
  const [child] = children as [Field];
  if (DataType.isList(type)) return new List(child);
  if (DataType.isLargeList(type)) return new LargeList(child);
  if (DataType.isStruct(type)) return new Struct<TypeMap>([...children]);
  if (DataType.isFixedSizeList(type)) return new FixedSizeList(type.listSize, child);
  if (DataType.isMap(type)) {
    return new Map_(child as ConstructorParameters<typeof Map_>[0], type.keysSorted);
  }
  if (DataType.isUnion(type)) return new Union(type.mode, type.typeIds, [...children]);
  return type;
}

/** The field with `""` for each name that apache-arrow's reader gives as null, at any depth. */
export function withNames(field: Field): Field {
  const { type } = field;
  const children = ((type.children ?? []) as Field[]).map(withNames);
  const changed = children.some((child, i) => child !== type.children?.[i]);
  if (field.name !== null && !changed) return field;
  return field.clone({
    name: field.name ?? "",
    type: changed ? withChildren(type, children) : type,
  });
}

/** The same data under a type that differs only in names. */
export function withType(data: Data, type: DataType): Data {
  if (data.type === type) return data;
  const fields = (type.children ?? []) as Field[];
  const children = data.children.map((child, i) => withType(child, (fields[i] as Field).type));
  return data.clone(type, data.offset, data.length, data.nullCount, data.buffers, children);
}
