// Apache-2.0. SQLITE_TRANSIENT is a cast to a function pointer, which the Swift importer does not see.
#pragma once
#include <sqlite3.h>

/// Binds a copy of `count` bytes of UTF-8; an empty text where `count` is 0.
static inline int samara_bind_text(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  return sqlite3_bind_text(statement, index, count ? (const char *)bytes : "", count, SQLITE_TRANSIENT);
}

/// Binds a copy of `count` bytes; an empty blob, not a null, where `count` is 0.
static inline int samara_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  return count ? sqlite3_bind_blob(statement, index, bytes, count, SQLITE_TRANSIENT)
               : sqlite3_bind_zeroblob(statement, index, 0);
}
