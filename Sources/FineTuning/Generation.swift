// Apache-2.0.
import Codecs
import ModelFiles
import Models

extension TrainerWorkspace {
  /// Goes on with sequences of tokens at the present weights.
  ///
  /// - Parameters:
  ///   - prompts: at least one token each.
  ///   - maximumCount: new tokens of a sequence at most; the model's positions are another bound.
  ///   - ends: tokens after which a sequence is done; the token is kept.
  ///   - onToken: called with a sequence and its new token as it comes.
  /// - Returns: the new tokens of each sequence.
  /// - Throws: `FineTuningError.data` where the model is no decoder, or a prompt is empty or too long.
  public func generate(
    _ prompts: [[Int32]],
    maximumCount: Int,
    sampling: Sampling = .greedy,
    ends: Set<Int32> = [],
    onToken: (_ sequence: Int, _ token: Int32) -> Void = { _, _ in }
  ) throws(FineTuningError) -> [[Int32]] {
    guard let longest = prompts.map(\.count).max(), prompts.allSatisfy({ !$0.isEmpty }) else {
      throw .data("an empty prompt: there is nothing to go on with")
    }
    let most = model.family.maximumPositions
    guard longest <= most else {
      throw .data("a prompt of \(longest) tokens; the model has \(most)")
    }
    let decoding = try Decoding(
      self,
      sequences: prompts.count,
      capacity: min(most, longest + maximumCount)
    )
    var made = [[Int32]](repeating: [], count: prompts.count)
    var isOpen = [Bool](repeating: true, count: prompts.count)
    var logits = try decoding.read(prompts)
    for step in 0..<maximumCount {
      for sequence in made.indices where isOpen[sequence] {
        let token = sampling.choose(logits[sequence], sequence: sequence, step: step)
        made[sequence].append(token)
        onToken(sequence, token)
        isOpen[sequence] =
          !ends.contains(token) && decoding.counts[sequence] < decoding.capacity
      }
      guard isOpen.contains(true), step + 1 < maximumCount else { break }
      // A sequence that is done reads nothing new.
      logits = try decoding.read(made.indices.map { isOpen[$0] ? made[$0].suffix(1) : [] })
    }
    return made
  }
}

extension LoadedModel {
  /// Tokens that end a text, as `generation_config.json` or `config.json` names them.
  ///
  /// - Throws: `FineTuningError.model` where `generation_config.json` cannot be read.
  public func endTokens() throws(FineTuningError) -> Set<Int32> {
    let path = "\(request.directory)/generation_config.json"
    var sources = [configuration]
    if ModelFolder.exists(path) {
      sources.insert(
        try FineTuningError.inModel(request.directory) { try ModelFolder.json(path) },
        at: 0
      )
    }
    for source in sources {
      switch source["eos_token_id"] {
      case .integer(let id): return [Int32(clamping: id)]
      case .array(let ids):
        return Set(
          ids.compactMap { id in
            if case .integer(let number) = id { Int32(clamping: number) } else { nil }
          }
        )
      default: continue
      }
    }
    return []
  }
}
