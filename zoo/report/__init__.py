"""Pages, plots, trees and tables."""
