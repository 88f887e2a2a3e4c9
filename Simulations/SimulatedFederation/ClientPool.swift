// Apache-2.0.
import Coordination
import FederatedCore
import Participation
import WireProtocol

/// All simulated clients: those that are up to something whole, the others in a few bytes each.
///
/// A participant that waits for a task is its version and whether it is connected: all else is that of
/// any other of the run, and a version is held once, however many are at it.
struct ClientPool {
  /// What there is of a client however quiet it is.
  private struct Record {
    /// Bytes of frames since the last version that counted the client.
    var traffic = FrameTraffic()
    /// The version of a resting one.
    var version: UInt32 = 0
    /// How many stretches of presence it has had.
    var period: UInt32 = 0
    var isConnected = false
    /// Whether it has been ready at all; a machine is made anew where not.
    var isKnown = false
  }

  /// A version that resting clients are at.
  private struct Shelved {
    let session: any AlgorithmSession
    var holders: Int
  }

  /// Clients.
  var count: Int { records.count }
  /// Versions that the machines share.
  let shelf = VersionShelf()
  private var records: [Record]
  private var awake: [Int: SimulatedClient] = [:]
  private var versions: [UInt32: Shelved] = [:]
  /// The first one that was ready, at version 0: what others are made of.
  private var pattern: ParticipantMachine?
  private let digits: Int

  init(count: Int) {
    records = [Record](repeating: Record(), count: count)
    digits = String(max(0, count - 1)).count
  }

  /// The name of a client; names sort as their numbers do.
  func name(of index: Int) -> String {
    let number = String(index)
    return "client-" + String(repeating: "0", count: digits - number.count) + number
  }

  /// The client of a name that `name(of:)` made.
  func index(of name: String) -> Int? { Int(name.dropFirst("client-".count)) }

  // MARK: Connections

  /// The connection of a client, nil while there is none.
  func peer(of index: Int) -> PeerNumber? {
    let record = records[index]
    guard record.isConnected else { return nil }
    return PeerNumber(record.period) * PeerNumber(count) + PeerNumber(index)
  }

  /// The client behind a connection, nil where that is gone.
  func client(of peer: PeerNumber) -> Int? {
    let index = Int(peer % PeerNumber(count))
    return self.peer(of: index) == peer ? index : nil
  }

  /// How many stretches of presence a client has had.
  func period(of index: Int) -> UInt32 { records[index].period }

  /// A client has a new connection.
  mutating func connect(_ index: Int) {
    records[index].period += 1
    records[index].isConnected = true
  }

  /// The connection of a client is gone.
  mutating func disconnect(_ index: Int) { records[index].isConnected = false }

  // MARK: Traffic

  /// Bytes since a client was last counted.
  subscript(traffic index: Int) -> FrameTraffic {
    get { records[index].traffic }
    set { records[index].traffic = newValue }
  }

  // MARK: Machines

  /// A client that is held whole, nil for one that rests.
  func awake(_ index: Int) -> SimulatedClient? { awake[index] }

  /// A client, held whole from now on.
  ///
  /// - Parameters:
  ///   - examples: of the client.
  ///   - device: what it tells of its device.
  ///   - isConnected: what its machine knows of the connection while it rests.
  mutating func woken(
    _ index: Int,
    examples: Int,
    device: DeviceProfile?,
    isConnected: Bool
  ) -> SimulatedClient {
    if let client = awake[index] { return client }
    let client = wake(index, examples: examples, device: device, isConnected: isConnected)
    awake[index] = client
    return client
  }

  private mutating func wake(
    _ index: Int,
    examples: Int,
    device: DeviceProfile?,
    isConnected: Bool
  ) -> SimulatedClient {
    guard records[index].isKnown, let pattern, let base = pattern.session else {
      return SimulatedClient(
        ParticipantMachine(software: "fedsim", shelf: shelf, keepsVersions: false)
      )
    }
    var version = records[index].version
    let session = versions[version]?.session
    release(version)
    // Of what nobody holds any more the server sends the whole; a client that connects anew says so.
    if session == nil, !isConnected { version = 0 }
    return SimulatedClient(
      pattern.resting(
        at: version,
        session ?? base,
        examples: examples,
        device: device,
        isConnected: isConnected
      )
    )
  }

  /// Folds a client up where it waits for a task and nothing is on its way.
  mutating func settle(_ index: Int, now: Duration) {
    guard let client = awake[index], client.ticket == nil, client.uplinkFree <= now,
      client.downlinkFree <= now, let version = client.machine.restingVersion,
      let session = client.machine.session
    else { return }
    if pattern == nil {
      guard version == 0 else { return }
      pattern = client.machine
    }
    records[index].version = version
    records[index].isKnown = true
    if version > 0 {
      versions[version, default: Shelved(session: session, holders: 0)].holders += 1
    }
    awake[index] = nil
  }

  private mutating func release(_ version: UInt32) {
    guard let position = versions.index(forKey: version) else { return }
    versions.values[position].holders -= 1
    if versions.values[position].holders == 0 { versions.remove(at: position) }
  }

  /// Forgets versions that the server leads nobody on from.
  mutating func forget(before oldest: UInt32) {
    for version in versions.keys where version < oldest { versions[version] = nil }
  }
}
