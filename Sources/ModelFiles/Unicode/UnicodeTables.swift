// Apache-2.0.

/// Facts of Unicode as the `tokenizers` library knows them; its parts follow different versions, so
/// the tables come from it and not from the standard library.
enum UnicodeTables {}
