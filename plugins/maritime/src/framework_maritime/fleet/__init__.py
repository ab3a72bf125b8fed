"""Ships: types, registers, and a synthetic fleet whose engines are known."""
