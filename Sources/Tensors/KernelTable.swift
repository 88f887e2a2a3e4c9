// Apache-2.0.
public import CKernels

/// An instruction set that kernels are written for; raw values are those of `samara_isa`.
public enum InstructionSet: Int32, Sendable, Hashable, CaseIterable {
  case scalar = 0
  case avx2 = 1
  case avx512 = 2
  case neon = 3
  case amx = 4
}

/// The table of kernels of one instruction set.
@safe public struct KernelTable: @unchecked Sendable {
  // SAFETY: the C side builds each table once, before it returns the address, and never frees or
  // changes it.
  let table: UnsafePointer<samara_kernel_table>

  /// The best table of this machine, or the one that `SAMARA_ISA` names.
  public static let current = unsafe KernelTable(table: samara_kernels())

  /// The table of `isa`; nil where this machine or build lacks it.
  public init?(_ isa: InstructionSet) {
    guard let table = unsafe samara_kernels_for(isa.rawValue) else { return nil }
    unsafe self.init(table: table)
  }

  init(table: UnsafePointer<samara_kernel_table>) { unsafe self.table = table }

  /// The instruction set that filled it.
  public var instructionSet: InstructionSet {
    InstructionSet(rawValue: unsafe table.pointee.isa) ?? .scalar
  }

  /// The functions; calling one is as unsafe as its pointers are.
  @unsafe public var kernels: UnsafePointer<samara_kernel_table> { unsafe table }
}
