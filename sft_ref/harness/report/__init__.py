"""How results are shown. Reports listen; they decide nothing."""
