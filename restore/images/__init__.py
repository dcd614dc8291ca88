"""Files and pictures: finding, decoding, encoding, and the one conversion between integers and floats."""
