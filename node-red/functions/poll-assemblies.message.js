// Any message polls at once. The node has its own clock (On Start), so it needs none.
pollAll();
return null;
