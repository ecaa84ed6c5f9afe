import type { ListOptions, ObjectInfo, ObjectStore } from "./object_store.ts";

/** Call `visit` with each object of `store.list()`, many of them between two waits where the store can. */
export async function visitObjects(
  store: ObjectStore,
  prefix: string,
  { visit, ...options }: ListOptions & { readonly visit: (object: ObjectInfo) => void },
): Promise<void> {
  if (store.listPages === undefined) {
    for await (const object of store.list(prefix, options)) visit(object);
    return;
  }
  for await (const page of store.listPages(prefix, options)) for (const object of page) visit(object);
}

/** The same; returns whether the names came in order, each once, as most stores list them. */
export async function visitInOrder(
  store: ObjectStore,
  prefix: string,
  { visit, ...options }: ListOptions & { readonly visit: (object: ObjectInfo) => void },
): Promise<boolean> {
  let isSorted = true;
  let before = "";
  await visitObjects(store, prefix, {
    ...options,
    visit(object) {
      isSorted &&= before < object.key;
      before = object.key;
      visit(object);
    },
  });
  return isSorted;
}
