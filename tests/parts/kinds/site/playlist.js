document.getElementById("length").textContent = "241 seconds";
