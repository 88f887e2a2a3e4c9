// Apache-2.0.

/// The candidate at the smallest edit distance from a misspelt name.
///
/// Nil if every candidate is more than a third of the name's letters (at least two) away.
public func nearestName(to name: String, among candidates: [String]) -> String? {
  let limit = max(2, name.count / 3)
  return
    candidates
    .map { (distance: editDistance(name, $0), candidate: $0) }
    .filter { $0.distance <= limit }
    .min { ($0.distance, $0.candidate) < ($1.distance, $1.candidate) }?
    .candidate
}

/// The words `; did you mean …?`, or nothing where no candidate is near.
public func suggestion(
  for name: String,
  among candidates: [String],
  prefix: String = ""
) -> String {
  nearestName(to: name, among: candidates).map { "; did you mean \(prefix)\($0)?" } ?? ""
}

/// Levenshtein distance.
private func editDistance(_ left: String, _ right: String) -> Int {
  let right = Array(right.utf8)
  var row = Array(0...right.count)
  for (i, a) in left.utf8.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, b) in right.enumerated() {
      let substitution = diagonal + (a == b ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substitution, row[j] + 1, diagonal + 1)
    }
  }
  return row[right.count]
}
