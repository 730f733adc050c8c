// What was dropped or chosen: files with the folder they came from.

export type Dropped = { file: File; folder: string };

/** Files of an `<input>`; those of a folder know their path. */
export function fromInput(files: FileList): Dropped[] {
  return [...files].map((file) => ({ file, folder: folderOf(file.webkitRelativePath) }));
}

const folderOf = (path: string) => path.split("/").slice(0, -1).join("/");

/** Files of a drop, with those inside of folders. */
export async function fromDrop(transfer: DataTransfer): Promise<Dropped[]> {
  // The items are gone after the first await, so all entries are taken before.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry: FileSystemEntry): Promise<Dropped[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    return [{ file, folder: folderOf(entry.fullPath.slice(1)) }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    // A reader gives at most 100 entries at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(walk))).flat();
}

const IGNORED = /^(\.|thumbs\.db$|desktop\.ini$|dicomdir$)/i;

const { compare } = new Intl.Collator("en", { numeric: true });

/** Without what file systems and media add beside images, and in the order of their names: 2.png before 10.png. */
export const images = (dropped: Dropped[]) =>
  dropped
    .filter(({ file }) => file.size > 0 && !IGNORED.test(file.name))
    .sort((one, other) => compare(one.folder, other.folder) || compare(one.file.name, other.file.name));
