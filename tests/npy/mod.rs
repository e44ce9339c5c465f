//! Just enough of the NumPy format to read the reference arrays: version 1, little-endian, C order.

/// The array's shape and its values.
pub(crate) fn f32s(bytes: &[u8]) -> (Vec<usize>, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..data]).expect("a header in ASCII");
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"));
    let shape = header.split(['(', ')']).nth(1).expect("a shape");
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse().expect("a size")).collect();
    let (values, rest) = bytes[data..].as_chunks();
    assert!(rest.is_empty());
    (shape, values.iter().map(|&value| f32::from_le_bytes(value)).collect())
}
