"""The recipe of the starter model: a world of small pictures, and the stages that learn to paint it."""
